package main

import (
	"fmt"
	"math"
	"strings"
)

// picture draws lookups by name for both sizes on a logarithmic scale.
func picture(r results) string {
	const left, perDecade, row, bar = 190, 78, 40, 15
	var bars strings.Builder
	y := 62
	for _, s := range services {
		drawn := false
		for i, users := range sizes {
			mode := "name"
			ns, ok := r.median(what{users, s.name, mode})
			if !ok {
				continue
			}
			drawn = true
			color := [2]string{"#8aa4c8", "#c3d0e2"}[i]
			if s.name == "iam" {
				color = [2]string{"#c8553d", "#e3a99d"}[i]
			}
			w := max(3, (math.Log10(ns)-1)*perDecade)
			top := y + i*(bar+1)
			fmt.Fprintf(&bars, `<rect x="%d" y="%d" width="%.0f" height="%d" fill="%s"/><text x="%.0f" y="%d" `+
				`font-size="11">%s ns</text>`+"\n",
				left, top, w, bar, color, left+w+6, top+12, thousands(ns))
		}
		if drawn {
			fmt.Fprintf(&bars, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", left-8, y+20, strings.Trim(s.title, "*"))
			y += row
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="760" height="%d" font-family="sans-serif" `+
		`font-size="13">`+"\n", y+8)
	fmt.Fprintf(&b, `<rect width="760" height="%d" fill="#fff"/>`+"\n", y+8)
	b.WriteString(`<text x="10" y="20">A user by name, nanoseconds (logarithmic): above among 5,000, below among ` +
		`100,000, in random order</text>` + "\n")
	for decade := 1; decade <= 8; decade++ {
		x := left + (decade-1)*perDecade
		fmt.Fprintf(&b, `<line x1="%d" y1="50" x2="%d" y2="%d" stroke="#ddd"/><text x="%d" y="44" font-size="10" `+
			`text-anchor="middle">%s</text>`+"\n",
			x, x, y, x, [...]string{"10 ns", "100 ns", "1 µs", "10 µs", "100 µs", "1 ms", "10 ms", "100 ms"}[decade-1])
	}
	b.WriteString(bars.String() + "</svg>\n")
	return b.String()
}
