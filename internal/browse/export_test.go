package browse

// TakeApart makes b look for each meaning of a word by itself, however cheap it would be together.
func TakeApart(b *Browser) { b.dear = -1 }
