package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// The chart's frame, in its own units.
const (
	width, height            = 720.0, 420.0
	left, right, top, bottom = 70.0, 545.0, 30.0, 365.0
	lowHosts, highHosts      = 10.0, 10000.0
	lowCalls, highCalls      = 0.1, 10000.0
	ink, faint, paper        = "#222", "#ddd", "#fff"
	letters                  = `font-family="sans-serif" font-size="12"`
)

var colors = map[string]string{
	"classic scripts": "#b22222", "iam": "#d98200", "iam, bulk": "#8a6d00", "identity center": "#7b1fa2",
	"snapshot": "#00695c", "snapshot, push": "#1f5fbf",
}

// chart is docs/scale.svg: IAM calls a second by number of hosts, both
// logarithmic.
func chart(w World, results map[string][]Result) string {
	var b strings.Builder
	put := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	put(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img" aria-label="IAM calls a second by `+
		`number of hosts">`, width, height)
	put(`<rect width="%g" height="%g" fill="%s"/>`, width, height, paper)
	put(`<text x="%g" y="18" %s fill="%s">IAM calls asked a second, refused ones included, by number of hosts (%s `+
		`users)</text>`, left, letters, ink, thousands(w.Users))
	for calls := lowCalls; calls <= highCalls*1.01; calls *= 10 {
		put(`<path d="M%g %.1fH%g" stroke="%s"/><text x="%g" y="%.1f" %s fill="%s" text-anchor="end">%s</text>`,
			left, y(calls), right, faint, left-8, y(calls)+4, letters, ink, axis(calls))
	}
	for hosts := lowHosts; hosts <= highHosts*1.01; hosts *= 10 {
		put(`<path d="M%.1f %gV%g" stroke="%s"/><text x="%.1f" y="%g" %s fill="%s" text-anchor="middle">%s</text>`,
			x(hosts), top, bottom, faint, x(hosts), bottom+18, letters, ink, axis(hosts))
	}
	put(`<text x="%g" y="%g" %s fill="%s" text-anchor="middle">hosts</text>`, (left+right)/2, bottom+38, letters, ink)
	put(`<path d="M%g %.1fH%g" stroke="%s" stroke-dasharray="6 4"/><text x="%g" y="%.1f" %s fill="%s">what IAM allows `+
		`(assumed)</text>`,
		left, y(w.Rate), right, ink, right+8, y(w.Rate)+4, letters, ink)
	// Names from the top down; lines that end close together get theirs below
	// each other.
	last := func(mode string) float64 { return results[mode][len(results[mode])-1].PerSecond }
	byEnd := slices.Clone(Modes)
	slices.SortStableFunc(byEnd, func(a, b string) int { return cmp.Compare(last(b), last(a)) })
	above := 0.0
	for _, mode := range byEnd {
		rs := results[mode]
		points := make([]string, len(rs))
		for i, r := range rs {
			points[i] = fmt.Sprintf("%.1f,%.1f", x(float64(r.Hosts)), y(r.PerSecond))
		}
		put(`<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`, strings.Join(points, " "), colors[mode])
		label := max(y(last(mode))+4, above+15)
		above = label
		put(`<text x="%g" y="%.1f" %s fill="%s">%s</text>`, right+8, label, letters, colors[mode], mode)
	}
	put(`</svg>`)
	return b.String()
}

func x(hosts float64) float64 {
	return left + (right-left)*math.Log10(hosts/lowHosts)/math.Log10(highHosts/lowHosts)
}

func y(calls float64) float64 {
	calls = min(max(calls, lowCalls), highCalls)
	return bottom - (bottom-top)*math.Log10(calls/lowCalls)/math.Log10(highCalls/lowCalls)
}

func axis(v float64) string {
	if v < 1 {
		return fmt.Sprintf("%.1g", v)
	}
	return thousands(int(v + 0.5))
}
