import { defineConfig } from 'vitest/config'

// Stories of clusters with containers: a Go test starts the cluster and the server, and runs one of them (e2e/protect, e2e/agent).
export default defineConfig({
  test: { environment: 'node', include: ['stories/**/*.node.ts'], fileParallelism: false, testTimeout: 240_000, hookTimeout: 60_000, bail: 1 },
})
