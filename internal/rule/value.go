package rule

import (
	"encoding/json"
	"reflect"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
)

var structValue = reflect.TypeFor[*structpb.Value]()

// jsonValue turns a CEL value into JSON values; nil for what has no JSON form.
func jsonValue(v ref.Val) any {
	switch v := v.(type) {
	case types.Bool:
		return bool(v)
	case types.Int:
		return int64(v)
	case types.Double:
		return float64(v)
	case types.String:
		return string(v)
	case types.Null:
		return nil
	case *types.Optional:
		if !v.HasValue() {
			return nil
		}
		return jsonValue(v.GetValue())
	}
	native, err := v.ConvertToNative(structValue)
	if err != nil {
		return nil
	}
	data, err := protojson.Marshal(native.(*structpb.Value))
	if err != nil {
		return nil
	}
	var out any
	if json.Unmarshal(data, &out) != nil {
		return nil
	}
	return out
}
