package protocol_test

import (
	"encoding/xml"
	"fmt"

	"github.com/sinew-rpc/sinew/protocol"
)

// xmlSerializer is a serializer of one's own. A decoder that believes what a body
// declares would need a Check method too, see protocol.Checker.
type xmlSerializer struct{}

func (xmlSerializer) Append(dst []byte, v any) ([]byte, error) {
	b, err := xml.Marshal(v)
	return append(dst, b...), err
}

func (xmlSerializer) Decode(body []byte, v any) error { return xml.Unmarshal(body, v) }

const serializeTypeXML = protocol.FirstUserSerializer

func ExampleRegisterSerializer() {
	if err := protocol.RegisterSerializer(serializeTypeXML, "xml", xmlSerializer{}); err != nil {
		fmt.Println(err)
		return
	}
	type Point struct{ X, Y int }
	body, err := protocol.Marshal(serializeTypeXML, nil, &Point{X: 1, Y: 2})
	fmt.Println(string(body), err)

	var p Point
	err = protocol.Unmarshal(serializeTypeXML, body, &p, 0)
	fmt.Println(p, err, serializeTypeXML)
	// Output:
	// <Point><X>1</X><Y>2</Y></Point> <nil>
	// {1 2} <nil> xml
}
