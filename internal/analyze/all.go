package analyze

// All lists every analyzer. A rule finds its own by name.
var All = []Analyzer{}
