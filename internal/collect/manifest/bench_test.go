package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"go.yaml.in/yaml/v3"
	kyaml "sigs.k8s.io/yaml"
)

const benchDeployment = `---
# Deployment of team %[1]d
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web-%[1]d
  namespace: team-%[1]d
  labels: {app: web-%[1]d, app.kubernetes.io/part-of: shop}
  annotations:
    prometheus.io/scrape: "true"
spec:
  replicas: 3
  selector:
    matchLabels:
      app: web-%[1]d
  template:
    metadata:
      labels:
        app: web-%[1]d
    spec:
      serviceAccountName: web
      containers:
      - name: web
        image: registry.example.com/shop/web:1.%[1]d.0
        command: ["/bin/web", "--listen=:8080"]
        ports:
        - containerPort: 8080
          name: http
        env:
        - name: DATABASE_URL
          valueFrom:
            secretKeyRef:
              name: db
              key: url
        - name: LOG_LEVEL
          value: info
        resources:
          requests:
            cpu: 100m
            memory: 128Mi
          limits:
            memory: 256Mi
        securityContext:
          allowPrivilegeEscalation: false
          runAsNonRoot: true
        livenessProbe:
          httpGet:
            path: /healthz
            port: http
          initialDelaySeconds: 5
        volumeMounts:
        - name: config
          mountPath: /etc/web
          readOnly: true
      volumes:
      - name: config
        configMap:
          name: web-%[1]d
`

// benchFile is a file of n objects of the kinds and the size (about 1.2 kB) that application repositories hold.
func benchFile(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		switch i % 4 {
		case 0, 1:
			fmt.Fprintf(&b, benchDeployment, i)
		case 2:
			fmt.Fprintf(&b, `---
apiVersion: v1
kind: Service
metadata:
  name: web-%[1]d
  namespace: team-%[1]d
spec:
  type: ClusterIP
  selector:
    app: web-%[1]d
  ports:
  - name: http
    port: 80
    targetPort: http
    protocol: TCP
`, i)
		case 3:
			fmt.Fprintf(&b, `---
apiVersion: v1
kind: ConfigMap
metadata:
  name: web-%[1]d
  namespace: team-%[1]d
data:
  mode: production
  nginx.conf: |
    server {
      listen 8080;
      location / {
        root /var/www;
      }
    }
`, i)
		}
	}
	return b.Bytes()
}

const benchObjects = 400

func perObject(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/benchObjects, "us/object")
}

func BenchmarkParse(b *testing.B) {
	data := benchFile(benchObjects)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if objs, problems := Parse("bench.yaml", data, Limits{}); len(objs) != benchObjects || len(problems) != 0 {
			b.Fatal(len(objs), problems)
		}
	}
	perObject(b)
}

// BenchmarkParseLocate also asks each object for a position, as a finding does.
func BenchmarkParseLocate(b *testing.B) {
	data := benchFile(benchObjects)
	b.ReportAllocs()
	for b.Loop() {
		objs, _ := Parse("bench.yaml", data, Limits{})
		for _, o := range objs {
			for range 5 {
				if line, _ := o.Origin.Locate("metadata.name"); line == 0 {
					b.Fatal("no line")
				}
			}
		}
	}
	perObject(b)
}

// BenchmarkLibraryNode is what positions cost with the YAML library alone.
func BenchmarkLibraryNode(b *testing.B) {
	data := benchFile(benchObjects)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		dec := yaml.NewDecoder(bytes.NewReader(data))
		for {
			var n yaml.Node
			if err := dec.Decode(&n); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
	perObject(b)
}

// BenchmarkLibraryMap is the usual way: YAML to JSON to a map, without positions.
func BenchmarkLibraryMap(b *testing.B) {
	docs := bytes.Split(benchFile(benchObjects), []byte("---\n"))
	b.ReportAllocs()
	for b.Loop() {
		for _, d := range docs {
			var m map[string]any
			if err := kyaml.Unmarshal(d, &m); err != nil {
				b.Fatal(err)
			}
		}
	}
	perObject(b)
}
