import { defineConfig } from 'vitest/config'

// The stories drive a real browser against a real server: one after the other, since two cores are not more.
export default defineConfig({
  test: { environment: 'node', include: ['stories/**/*.story.ts'], fileParallelism: false, testTimeout: 120_000, hookTimeout: 180_000, globalSetup: ['stories/server.ts'] },
})
