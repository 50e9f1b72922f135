package proc

const bigEndian = true
