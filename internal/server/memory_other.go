//go:build !linux

package server

func dropText() {}
