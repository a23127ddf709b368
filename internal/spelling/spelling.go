// Package spelling finds what somebody meant who wrote a word that is not known, for
// errors that say what to write instead.
package spelling

import "strings"

// Closest returns the one of the known words that a word may be a slip of, or "".
func Closest(word string, known []string) string {
	best, distance := "", 1+max(1, len(word)/3)
	for _, k := range known {
		if n := edits(strings.ToLower(word), k); n < distance {
			best, distance = k, n
		}
	}
	return best
}

// edits returns how many letters have to be put in, left out, exchanged or swapped
// with the next to make b of a (optimal string alignment).
func edits(a, b string) int {
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, above, row = above, row, before
		row[0] = i + 1
		for j := range len(b) {
			change := above[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, row[j]+1, above[j+1]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
