package helm

import (
	"context"
	"errors"
	"reflect"

	"stockade.dev/stockade/internal/collect/manifest"
)

// Bounds of one template besides those of manifest.Limits. The large charts of monitoring stacks take some ten thousand
// steps a template.
const (
	maxSteps = 1_000_000 // loop rounds, function calls and includes
	maxAlloc = 256 << 20 // bytes that functions return, summed up
	maxValue = 32 << 20  // bytes of one value that is serialised or of one text that is made
)

// budget is what rendering may still take: steps and memory by template, output and time by chart. Once it is used up
// every further step fails.
type budget struct {
	ctx    context.Context
	each   int // steps of one template
	steps  int
	alloc  int64
	output int64
	most   int64 // output at the beginning
}

func newBudget(ctx context.Context, lim manifest.Limits, steps int) budget {
	return budget{ctx: ctx, each: steps, steps: steps, alloc: maxAlloc, output: lim.RenderedBytes, most: lim.RenderedBytes}
}

// renew gives the next template its own steps and memory.
func (b *budget) renew() { b.steps, b.alloc = b.each, maxAlloc }

func (b *budget) step() error {
	if b.steps--; b.steps < 0 {
		return limited("it takes more than %d steps to render", b.each)
	}
	if b.steps&0x3f == 0 {
		if err := b.ctx.Err(); errors.Is(err, context.DeadlineExceeded) {
			return limited("it takes too long to render")
		} else if err != nil {
			return err
		}
	}
	return nil
}

// write accounts for output.
func (b *budget) write(n int) error {
	if b.output -= int64(n); b.output < 0 {
		return limited("it renders to more than %d bytes", b.most)
	}
	return nil
}

// charge accounts for memory.
func (b *budget) charge(n int) error {
	if b.alloc -= int64(n); b.alloc < 0 {
		return limited("its functions make more than %d bytes", maxAlloc)
	}
	return nil
}

// size estimates how large a value is when it is written out. Values share parts, so a small one may be endless when
// written: beyond maxValue it is refused.
func (b *budget) size(v any) (int, error) {
	left := maxValue
	if !weigh(reflect.ValueOf(v), &left, 0) {
		return 0, limited("a value is larger than %d bytes when it is written out", maxValue)
	}
	return maxValue - left, nil
}

// weigh takes the size of v from left; false when there is not enough.
func weigh(v reflect.Value, left *int, depth int) bool {
	if *left -= 8; *left < 0 || depth > 1000 {
		return false
	}
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		return v.IsNil() || weigh(v.Elem(), left, depth+1)
	case reflect.String:
		*left -= v.Len()
	case reflect.Slice, reflect.Array:
		switch v.Type().Elem().Kind() {
		case reflect.Interface, reflect.Pointer, reflect.String, reflect.Slice, reflect.Map, reflect.Struct, reflect.Array:
			for i := range v.Len() {
				if !weigh(v.Index(i), left, depth+1) {
					return false
				}
			}
		default:
			*left -= v.Len() * 8
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			if !weigh(it.Key(), left, depth+1) || !weigh(it.Value(), left, depth+1) {
				return false
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if !weigh(v.Field(i), left, depth+1) {
				return false
			}
		}
	}
	return *left >= 0
}
