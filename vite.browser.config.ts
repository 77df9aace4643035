// The browser's bundle: one file without dependencies, nothing of Node; codecs are files beside it, loaded when first met.
import { join } from 'node:path'
import { defineConfig } from 'vite'

/** Pages may forbid to compile strings, and report even the attempt: their bundle is built without what would. */
const INTERPRETED = join(import.meta.dirname, 'src/protocol/schema/engine-interpreted.ts')

export default defineConfig({
  publicDir: false,
  resolve: { alias: [{ find: /^\.\/engine\.ts$/, replacement: INTERPRETED }] },
  build: {
    lib: { entry: 'src/browser.ts', formats: ['es'], fileName: () => 'millrace.js' },
    outDir: 'dist/browser',
    emptyOutDir: false,
    target: 'es2022',
    sourcemap: true,
    minify: true,
    reportCompressedSize: false,
    // Without hashes, so that one build replaces the files of the one before.
    rolldownOptions: { output: { chunkFileNames: '[name].js' } },
  },
})
