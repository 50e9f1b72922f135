import react from '@vitejs/plugin-react'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { Plugin } from 'vite'
import { defineConfig } from 'vitest/config'

// compressed writes name.gz beside what the server sends often, so that it never compresses a file twice.
function compressed(): Plugin {
  let folder = ''
  return {
    name: 'compressed',
    apply: 'build',
    configResolved: (config) => {
      folder = config.build.outDir
    },
    writeBundle: () => {
      const assets = join(folder, 'assets')
      for (const name of readdirSync(assets)) {
        const file = join(assets, name)
        const body = readFileSync(file)
        if (/\.(js|css)$/.test(name) && body.length > 1024) writeFileSync(file + '.gz', gzipSync(body, { level: 9 }))
      }
    },
  }
}

export default defineConfig({
  plugins: [react(), compressed()],
  build: {
    outDir: 'dist/app', emptyOutDir: true, target: 'es2022', assetsInlineLimit: 0, chunkSizeWarningLimit: 900, reportCompressedSize: false,
    // Few requests: icons are one file, and so is what stands around every page.
    rolldownOptions: { output: { advancedChunks: { groups: [{ name: 'icons', test: /@ant-design[\\/]icons/ }, { name: 'shell', test: /src[\\/](app|api|text)[\\/](?!(en|zh)\.|.*(palette|[\\/](en|zh)\.))/ }] } } },
  },
  test: { environment: 'happy-dom', include: ['src/**/*.test.{ts,tsx}'], setupFiles: ['src/text/forTests.ts'] },
})
