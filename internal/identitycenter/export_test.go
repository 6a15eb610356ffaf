package identitycenter

import "time"

// SetClock has a source read another clock.
func (s *Source) SetClock(now func() time.Time) { s.now = now }
