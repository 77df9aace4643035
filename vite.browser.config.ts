// The browser's bundle: one file without dependencies, nothing of Node; codecs are files beside it, loaded when first met.
import { defineConfig } from 'vite'

export default defineConfig({
  publicDir: false,
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
