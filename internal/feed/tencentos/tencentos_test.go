package tencentos

import "testing"

func TestStream(t *testing.T) {
	for name, want := range map[string]string{
		"TencentOS Server 3.1": "tencentos 3.1", "tlinux/2.4/x86_64": "tencentos 2.4", "tencentos 4": "tencentos 4", "OpenCloudOS 9.2": "opencloudos 9", "CentOS 7": "",
	} {
		got, ok := Stream(name)
		if got != want || ok != (want != "") {
			t.Errorf("Stream(%q) = %q, %v", name, got, ok)
		}
	}
}
