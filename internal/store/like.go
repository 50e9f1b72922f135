package store

import "strings"

var likeMarks = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// Like takes the marks of a LIKE pattern in a text as they stand. The query says ESCAPE '\'.
func Like(text string) string { return likeMarks.Replace(text) }
