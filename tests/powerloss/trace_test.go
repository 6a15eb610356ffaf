package powerloss

import (
	"maps"
	"slices"
	"testing"
)

// The states that a trace may end in, by what a file called "a" says there; "-"
// is no file.
func TestCrashesFindWhatWasSyncedAndAnyPartOfTheRest(t *testing.T) {
	write := func(text string) Event { return Event{Kind: Written, File: 1, Data: []byte(text)} }
	made, named := Event{Kind: Made, File: 1}, Event{Kind: Named, Name: "a", File: 1}
	other := []Event{{Kind: Made, File: 2}, {Kind: Written, File: 2, Data: []byte("2")}, {Kind: Synced, File: 2},
		{Kind: Named, Name: "a", File: 2}}
	synced, folder := Event{Kind: Synced, File: 1}, Event{Kind: FolderSynced}
	for name, test := range map[string]struct {
		trace Trace
		want  []string // at the end of the trace
	}{
		"nothing synced: no name, no data, or all":        {Trace{made, named, write("1")}, []string{"", "-", "1"}},
		"a file without its folder has its data, no name": {Trace{made, named, write("1"), synced}, []string{"-", "1"}},
		"a folder without its file has its name, no data": {Trace{made, named, write("1"), folder}, []string{"", "1"}},
		"both synced": {Trace{made, named, write("1"), synced, folder}, []string{"1"}},
		"what is written again may be either": {Trace{made, named, write("1"), synced, folder, write("3")},
			[]string{"1", "3"}},
		"another file of that name may be either": {append(Trace{made, named, write("1"), synced, folder}, other...),
			[]string{"1", "2"}},
		"an unlinked file may be back": {Trace{made, named, write("1"), synced, folder, {Kind: Named, Name: "a"}},
			[]string{"-", "1"}},
		"a shorter file may be longer": {Trace{made, named, write("12"), synced, folder, {Kind: Resized, File: 1, At: 1}},
			[]string{"1", "12"}},
	} {
		t.Run(name, func(t *testing.T) {
			found := map[string]bool{}
			err := test.trace.Crashes(1, 20, func(c Crash) error {
				if c.After == len(test.trace) {
					text := "-"
					if f, ok := c.Files["a"]; ok {
						text = string(f.Data)
					}
					found[text] = true
				}
				return nil
			})
			if got := slices.Sorted(maps.Keys(found)); err != nil || !slices.Equal(got, test.want) {
				t.Errorf("found %q, %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestAWriteArrivesSectorBySector(t *testing.T) {
	trace := Trace{{Kind: Made, File: 1}, {Kind: Named, Name: "a", File: 1}, {Kind: FolderSynced},
		{Kind: Written, File: 1, At: 500, Data: slices.Repeat([]byte{1}, 1000)}}
	torn := map[[3]byte]bool{}
	_ = trace.Crashes(1, 100, func(c Crash) error {
		data := append(c.Files["a"].Data, make([]byte, 1500)...)
		torn[[3]byte{data[511], data[512], data[1024]}] = true
		for _, sector := range [][2]int{{500, 511}, {512, 1023}, {1024, 1499}} {
			if data[sector[0]] != data[sector[1]] {
				t.Errorf("a sector arrived in part: %v", data[sector[0]:sector[1]+1])
			}
		}
		return nil
	})
	if len(torn) != 8 {
		t.Errorf("%d ways of tearing three sectors were tried, want 8", len(torn))
	}
}
