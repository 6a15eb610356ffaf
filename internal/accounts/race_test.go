//go:build race

package accounts

const raceDetector = true
