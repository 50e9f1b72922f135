package cvss

import "testing"

// The scores are those that NVD or the publisher prints beside the vector.
func TestScore(t *testing.T) {
	for vector, want := range map[string]float64{
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H":                    10,  // CVE-2021-44228
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H":                    9.8, // CVE-2022-22965
		"CVSS:3.0/AV:L/AC:H/PR:L/UI:N/S:U/C:H/I:N/A:N":                    4.7, // CVE-2020-8566
		"CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:L/I:L/A:H":                    6.6, // CVE-2021-3782
		"CVSS:3.1/AV:N/AC:L/PR:H/UI:N/S:U/C:L/I:L/A:N":                    3.8,
		"CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N":                    6.4,
		"CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:N/I:N/A:N":                    0,
		"CVSS:3.1/AV:L/AC:L/PR:N/UI:R/S:C/C:H/I:H/A:H":                    8.6, // CVE-2024-21626
		"CVSS:3.1/AV:N/AC:H/PR:H/UI:R/S:C/C:L/I:N/A:N/E:P":                2.6, // temporal metrics do not count
		"AV:N/AC:L/Au:N/C:C/I:C/A:C":                                      10,
		"AV:N/AC:M/Au:N/C:P/I:P/A:P":                                      6.8,
		"(AV:L/AC:M/Au:N/C:C/I:C/A:C)":                                    6.9,
		"AV:N/AC:L/Au:N/C:N/I:N/A:N":                                      0,
		"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N": 0,
	} {
		if got, err := Score(vector); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", vector, got, err, want)
		}
	}
	for _, vector := range []string{"", "7.5", "CVSS:3.1/AV:N", "CVSS:3.1/AV:X/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", "AV:N/AC:M/Au:N/C:P/I:P/A:Q", "CVSS:4.0/AV:N"} {
		if got, err := Score(vector); err == nil {
			t.Errorf("%q has the score %v", vector, got)
		}
	}
}

func FuzzScore(f *testing.F) {
	f.Add("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H")
	f.Add("AV:N/AC:M/Au:N/C:P/I:P/A:P")
	f.Add("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N")
	f.Fuzz(func(t *testing.T, vector string) {
		if got, err := Score(vector); err == nil && (got < 0 || got > 10) {
			t.Errorf("%q: %v", vector, got)
		}
	})
}
