package faults

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// daemonFaults are of the daemon, and of its files while it is dead.
var daemonFaults = []fault{
	{name: "the daemon is killed", make: func(s *site) { s.kill() }, code: 1, later: time.Hour,
		status: says(`broken +daemon`), explain: quiet(openStill), doctor: says(`broken +daemon`), alert: says("NSSIAMGone"),
		journal: quiet(notRunning)},
	{name: "the daemon hangs",
		make: func(s *site) { s.daemon.Signal(unix.SIGSTOP); s.t.Cleanup(func() { s.daemon.Signal(unix.SIGCONT) }) },
		code: 1, later: time.Hour,
		status: says(`broken +daemon`), explain: says(`no answer in time`), doctor: says(`broken +daemon`),
		alert: says("NSSIAMGone"), journal: quiet("systemd's watchdog ends it, and says so")},
	{name: "the daemon is dead for longer than keys.max_stale", make: func(s *site) {
		s.configure(plain + "[keys]\nmax_stale = \"1m\"\n")
		s.start()
		s.refresh()
		time.Sleep(2 * time.Second)
		s.kill()
		time.Sleep(63 * time.Second)
	}, code: 1, status: says(`broken +keys .*open nothing`), explain: says(`NO +cached keys: cached keys are .* old`),
		doctor: says(`broken +keys`),
		alert:  says("NSSIAMKeysOpenNothing"), journal: quiet(notRunning)},
	{name: "nss.db is gone and no daemon runs", make: func(s *site) { s.kill(); s.Run("rm", testbed.CacheDir+"/nss.db") },
		code: 1, later: time.Hour,
		status: says(`broken +cache +nss.db`), explain: says(`NO +this host: nss.db`), doctor: says(`broken +cache +nss.db`),
		alert: says("NSSIAMGone"), journal: quiet(notRunning)},
	{name: "keys.db is gone and no daemon runs",
		make: func(s *site) { s.kill(); s.Run("rm", testbed.CacheDir+"/keys.db") }, code: 1, later: time.Hour,
		status: says(`broken +cache +keys.db`), explain: says(`NO +(this host|cached keys):.*keys.db`),
		doctor: says(`broken +cache +keys.db`), alert: says("NSSIAMGone"), journal: quiet(notRunning)},
	{name: "nss.db is half written and no daemon runs",
		make: func(s *site) { s.kill(); s.Run("truncate", "-s", "5000", testbed.CacheDir+"/nss.db") }, code: 1,
		later:  time.Hour,
		status: says(`broken +cache +nss.db.*damaged`), explain: says(`NO +this host: nss.db`),
		doctor: says(`broken +cache +nss.db`), alert: says("NSSIAMGone"), journal: quiet(notRunning)},
	{name: "keys.db is overwritten and no daemon runs", make: func(s *site) {
		s.kill()
		s.Run("dd", "if=/dev/zero", "of="+testbed.CacheDir+"/keys.db", "bs=16384", "count=1", "conv=notrunc", "status=none")
	}, code: 1, later: time.Hour,
		status: says(`broken +cache +keys.db.*damaged`), explain: says(`NO +(this host|cached keys):.*keys.db`),
		doctor: says(`broken +cache +keys.db`), alert: says("NSSIAMGone"), journal: quiet(notRunning)},
	{name: "nss.db belongs to somebody else and no daemon runs",
		make: func(s *site) { s.kill(); s.Run("chown", "nobody", testbed.CacheDir+"/nss.db") }, code: 1, later: time.Hour,
		status: says(`broken +cache +nss.db`), explain: says(`NO +this host: nss.db`),
		doctor: says(`broken +(cache|permissions)`), alert: says("NSSIAMGone"), journal: quiet(notRunning)},
	{name: "nss.db is deleted under the daemon", heals: true,
		make:   func(s *site) { s.Run("rm", testbed.CacheDir+"/nss.db") },
		status: quiet(healed), explain: quiet(healed), doctor: quiet(healed), alert: quiet(healed), journal: quiet(healed)},
	{name: "state.db is damaged at a start", heals: true, make: func(s *site) {
		s.daemon.Stop()
		s.Run("dd", "if=/dev/zero", "of="+testbed.CacheDir+"/state.db", "bs=8192", "count=1", "conv=notrunc", "status=none")
		s.serve()
	}, status: quiet(healed), explain: quiet(healed), doctor: quiet(healed), alert: quiet(healed),
		journal: says(`state file is damaged`)},
}
