package exception

import "time"

// Holding lists the approved exceptions that hold now in a target and can hold at admission: those of files and nodes cannot.
func (b *Book) Holding(target int64, now time.Time) []Exception {
	b.refresh()
	var out []Exception
	for _, e := range b.snapshot.Load().list {
		if e.File == "" && e.Node == "" && (e.Target == 0 || e.Target == target) && (e.Expires.IsZero() || now.Before(e.Expires)) {
			out = append(out, e)
		}
	}
	return out
}
