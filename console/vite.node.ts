import { defineConfig } from 'vitest/config'

// The story of a cluster with containers: a Go test starts the cluster, the registry and the server, runs this, and looks afterwards
// whether anything is left (e2e/protect).
export default defineConfig({
  test: { environment: 'node', include: ['stories/**/*.node.ts'], fileParallelism: false, testTimeout: 240_000, hookTimeout: 60_000, bail: 1 },
})
