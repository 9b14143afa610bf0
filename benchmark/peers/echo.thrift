namespace go echo

// What every peer of the benchmark is asked to echo.
struct EchoRequest {
    1: required i64 id
    2: required binary body
}

struct EchoResponse {
    1: required i64 id
    2: required binary body
}

service EchoService {
    EchoResponse Echo(1: EchoRequest request)
}
