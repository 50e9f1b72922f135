// Package admission tells, against a real API server, what becomes of requests that nobody judged.
package admission
