package hosts

// sessionManager has AWS Systems Manager's agent give shells to served users.
// PAM is not asked, so that nothing but the daemon has made the home.
func (s site) sessionManager() {
	for _, name := range []string{"alice", "bob", "carol", "dave", "eve.at.example.com"} {
		home := "/home/" + name
		if got, want := s.Run("stat", "-c", "%u:%g %a %F", home), s.Run("id", "-u", name)+":"+s.Run("id", "-g", name)+
			" 700 directory"; got != want {
			s.t.Errorf("%s is %s, want %s", home, got, want)
		}
		if got := s.Run("find", home, "-not", "-user", name); got != "" {
			s.t.Errorf("not %s's: %s", name, got)
		}
		r, err := s.SessionManager(name, "pwd\ntest -f .bashrc && echo skeleton\ntouch mine && stat -c %U mine\nid -un\n"+
			"exit\n")
		if want := home + "\nskeleton\n" + name + "\n" + name + "\n"; err != nil || r.Stdout != want || r.Code != 0 {
			s.t.Errorf("%s's shell: %v, %v, want %q", name, r, err, want)
		}
	}
	if r, err := s.SessionManager("mallory", ""); err == nil {
		s.t.Errorf("mallory may not log in, and exists: %v", r)
	}
}
