//go:build !s390x

package proc

const bigEndian = false
