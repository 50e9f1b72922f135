package inventory

// Flags are the flags of a component's command line, without the program itself, as Component.Flags has them.
func Flags(args []string) map[string]string {
	words := make([]argument, len(args))
	for i, a := range args {
		words[i] = argument{text: a}
	}
	return newComponent("", words).Flags
}

// Program finds which component a command line starts, itself or through a launcher or a shell, and its arguments; "" for none.
func Program(line []string) (name string, args []string) {
	words := make([]argument, len(line))
	for i, a := range line {
		words[i] = argument{text: a}
	}
	name, rest := findProgram(words, 0)
	for _, w := range rest {
		args = append(args, w.text)
	}
	return name, args
}
