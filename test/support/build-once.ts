/** Builds `dist/` once before the tests: end-to-end tests start the real command as a real process. */
import { execFileSync } from 'node:child_process'

export default function setup(): void {
  execFileSync('npm', ['run', '--silent', 'build'], { stdio: 'inherit' })
}
