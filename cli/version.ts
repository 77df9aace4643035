/** The version of this package, read from its manifest so that there is one place to change. */
import { readFileSync } from 'node:fs'

/** The manifest lies above `cli/` in a checkout and above `dist/cli/` in a build. */
const MANIFEST_PLACES = ['../package.json', '../../package.json']

export function packageVersion(): string {
  for (const place of MANIFEST_PLACES) {
    try {
      const manifest: unknown = JSON.parse(readFileSync(new URL(place, import.meta.url), 'utf8'))
      if (typeof manifest === 'object' && manifest !== null && 'version' in manifest) {
        return String(manifest.version)
      }
    } catch {
      // Not there: the next place.
    }
  }
  return 'unknown'
}
