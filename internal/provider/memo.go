package provider

import (
	"sync"
	"sync/atomic"
	"time"
)

// memo keeps the answers to keys for moments: a roll-out asks for the same few thousand times. Whatever changes an answer, a verdict or
// a policy, drops all of it; what only time changes is at most memoAge late, and what is due to be asked for anew is noticed then.
type memo struct {
	now   func() time.Time
	epoch atomic.Int64 // changes so far

	mu      sync.RWMutex
	of      *force
	at      int64 // epoch of answers
	since   time.Time
	answers map[string][]byte
}

const (
	memoAge  = 5 * time.Second
	mostMemo = 20_000
	memoKey  = 512 // bytes of a key that is kept
)

func (m *memo) valid(f *force) bool {
	age := m.now().Sub(m.since)
	return m.of == f && m.at == m.epoch.Load() && age < memoAge && age >= 0
}

func (m *memo) get(f *force, key string) ([]byte, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	value, ok := m.answers[key]
	return value, ok && m.valid(f)
}

// put keeps an answer; mark is what epoch was before it was made.
func (m *memo) put(f *force, mark int64, key string, value []byte) {
	if len(key) > memoKey {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.epoch.Load() != mark {
		return
	}
	if !m.valid(f) || len(m.answers) >= mostMemo {
		m.of, m.at, m.since = f, mark, m.now()
		m.answers = make(map[string][]byte, 256)
	}
	m.answers[key] = value
}

// tend lets go of answers that do not count any more: they would take room until the next one comes.
func (m *memo) tend() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.answers != nil && !m.valid(m.of) {
		m.of, m.answers = nil, nil
	}
}

// changed drops what is kept.
func (m *memo) changed() { m.epoch.Add(1) }
