/**
 * What only the real file adapter can be asked: rights, limits of the system, and the lock between processes. Other
 * processes run the built adapter, which `npm test` builds first.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { DiskGauge } from '../../../src/env/node/disk-gauge.ts'
import { toFileError } from '../../../src/env/node/file-errors.ts'
import { NodeFile } from '../../../src/env/node/node-file.ts'
import { NodeFileSystem } from '../../../src/env/node/node-file-system.ts'

const root = fs.mkdtempSync(join(tmpdir(), 'millrace-'))
const children: ChildProcess[] = []
const BUILT = new URL('../../../dist/src/env/node/node-file-system.js', import.meta.url).href

afterAll(() => {
  for (const child of children) child.kill('SIGKILL')
  fs.rmSync(root, { recursive: true, force: true })
})

/** Runs `body`, with `files` at hand, in a process of its own, under a shell command that ends in `exec "$@"`. */
function run(body: string, shell = 'exec "$@"'): ChildProcess {
  const script = `
    import { NodeFileSystem } from ${JSON.stringify(BUILT)}
    const files = new NodeFileSystem()
    const bytes = (count) => new Uint8Array(count).fill(97)
    ${body}`
  const args = ['-c', shell, 'sh', process.execPath, '--input-type=module', '-e', script]
  const child = spawn('sh', args, { stdio: ['pipe', 'pipe', 'inherit'] })
  children.push(child)
  return child
}

/** Everything a process prints until it ends. */
async function output(child: ChildProcess): Promise<string> {
  let text = ''
  child.stdout!.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  await once(child, 'close')
  return text
}

async function firstLine(child: ChildProcess): Promise<string> {
  const [chunk] = (await once(child.stdout!, 'data')) as [Buffer]
  return chunk.toString().trim()
}

function freshDirectory(): string {
  return fs.mkdtempSync(join(root, 'd-'))
}

const HOLD = (directory: string) => `
  try {
    await files.lock(${JSON.stringify(directory)})
    console.log('locked')
    setInterval(() => {}, 1000)
  } catch (error) {
    console.log(error.code, error.message)
  }`

describe('NodeFileSystem', () => {
  test('X33: makes files 0600 and directories 0700', async () => {
    const files = new NodeFileSystem()
    const directory = freshDirectory()
    await files.makeDirectory(`${directory}/a/b`)
    await (await files.open(`${directory}/a/b/f`, 'create')).close()
    expect(fs.statSync(`${directory}/a`).mode & 0o777).toBe(0o700)
    expect(fs.statSync(`${directory}/a/b`).mode & 0o777).toBe(0o700)
    expect(fs.statSync(`${directory}/a/b/f`).mode & 0o777).toBe(0o600)
  })

  test('names errors of the system by what a caller can do about them', () => {
    const codeFor = (errno: string) =>
      toFileError(Object.assign(new Error(errno), { code: errno }), 'Did', '/f').code
    expect(['ENOSPC', 'EDQUOT', 'EFBIG'].map(codeFor)).toEqual(Array(3).fill('FILE_NO_SPACE'))
    expect(['EMFILE', 'ENFILE'].map(codeFor)).toEqual(Array(2).fill('FILE_TOO_MANY_OPEN'))
    expect(['EACCES', 'EPERM', 'EROFS'].map(codeFor)).toEqual(Array(3).fill('FILE_NO_ACCESS'))
    expect(['EIO', 'EBADF', 'EINVAL'].map(codeFor)).toEqual(Array(3).fill('FILE_IO'))
  })

  test('ND-6: a short count is gone on with, the error comes with the next call, and appends stop until a cut', async () => {
    const path = join(freshDirectory(), 'f')
    // A file-size limit of 64 blocks of 512 or 1024 bytes: the write that crosses it is cut short without an error.
    const child = run(
      `process.on('SIGXFSZ', () => {})
       const file = await files.open(${JSON.stringify(path)}, 'create')
       await file.append([bytes(30000)])
       const codes = []
       const fail = (error) => codes.push(error.code)
       await file.append([bytes(90000), bytes(10)]).catch(fail)
       const { spawnSync } = await import('node:child_process')
       spawnSync('prlimit', ['--pid', String(process.pid), '--fsize=unlimited'])
       await file.append([bytes(1)]).catch(fail)
       await file.truncate(30000)
       await file.append([bytes(5)])
       console.log(codes.join(), await file.size())`,
      'ulimit -S -f 64; exec "$@"',
    )
    expect((await output(child)).trim()).toBe('FILE_NO_SPACE,FILE_NO_SPACE 30005')
    expect(fs.statSync(path).size).toBe(30005)
  })

  test('F-FD: too many open files is its own code', async () => {
    const path = join(freshDirectory(), 'f')
    const child = run(
      `const codes = new Set()
       for (let count = 0; count < 80; count++) await files.open(${JSON.stringify(path)}, 'append').catch((error) => codes.add(error.code))
       console.log([...codes].join())`,
      'ulimit -n 64; exec "$@"',
    )
    expect((await output(child)).trim()).toBe('FILE_TOO_MANY_OPEN')
  })

  test('on a slow disk, appends go through the threadpool in call order, and syncs cover those called before', async () => {
    const path = join(freshDirectory(), 'f')
    const slow = new DiskGauge()
    for (let call = 0; call < 20; call++) slow.record(40, 100)
    const fd = fs.openSync(path, 'w+')
    const file = new NodeFile(fd, path, 'append', 0, { reads: slow, writes: slow })
    const order: number[] = []
    const appends = Array.from({ length: 200 }, (_, index) =>
      file.append([Buffer.from(`${index},`)])!.then(() => order.push(index)),
    )
    const synced = file.sync().then(() => order.push(-1))
    await Promise.all([...appends, synced])
    expect(order.slice(0, 200)).toEqual(Array.from({ length: 200 }, (_, index) => index))
    const text = Array.from({ length: 200 }, (_, index) => `${index},`).join('')
    expect(Buffer.from(await file.read(0, 10_000)).toString()).toBe(text)
    await file.close()
    expect(fs.readFileSync(path, 'utf8')).toBe(text)
  })

  test('a failed append fails those that wait behind it, on a slow disk too', async () => {
    const path = join(freshDirectory(), 'f')
    fs.writeFileSync(path, 'abc')
    const slow = new DiskGauge()
    for (let call = 0; call < 20; call++) slow.record(40, 100)
    const fd = fs.openSync(path, 'r') // Writing to it fails with EBADF.
    const file = new NodeFile(fd, path, 'append', 3, { reads: slow, writes: slow })
    const results = await Promise.allSettled(
      [1, 2, 3].map(() => Promise.resolve(file.append([Buffer.from('x')]))),
    )
    expect(results.map((result) => result.status)).toEqual(['rejected', 'rejected', 'rejected'])
    await expect(file.append([Buffer.from('x')])).rejects.toMatchObject({ code: 'FILE_IO' })
    await file.close()
  })
})

describe('DiskGauge', () => {
  test('leaves the main thread when calls take long and comes back when they do not', () => {
    const gauge = new DiskGauge()
    for (let call = 0; call < 1000; call++) gauge.record(0.02, 16_384)
    gauge.record(6, 16_384) // The one stall of 6 ms seen among 200 MB/s.
    expect(gauge.isFast).toBe(true)
    for (let call = 0; call < 10; call++) gauge.record(20, 16_384)
    expect(gauge.isFast).toBe(false)
    for (let call = 0; call < 40; call++) gauge.record(0.1, 16_384)
    expect(gauge.isFast).toBe(true)
  })

  test('counts large calls in proportion to their bytes', () => {
    const gauge = new DiskGauge()
    for (let call = 0; call < 100; call++) gauge.record(10, 4 * 1024 * 1024)
    expect(gauge.isFast).toBe(true)
  })
})

describe('NodeFileSystem.lock() between processes', () => {
  test('keeps a second process out, names the holder, and is free after kill -9', async () => {
    const directory = freshDirectory()
    const holder = run(HOLD(directory))
    expect(await firstLine(holder)).toBe('locked')

    const refused = (await output(run(HOLD(directory)))).trim()
    expect(refused).toMatch(/^FILE_LOCKED Locked .*: process \d+ on .* holds it$/)
    expect(refused).toContain(`process ${holder.pid} `)
    await expect(new NodeFileSystem().lock(`${directory}/`)).rejects.toMatchObject({ code: 'FILE_LOCKED' })

    holder.kill('SIGKILL')
    await once(holder, 'close')
    expect(fs.readdirSync(directory)).toEqual(['.lock']) // What a kill leaves behind does not count.
    const next = await new NodeFileSystem().lock(directory)
    await next.release()
    expect(fs.readdirSync(directory)).toEqual([])
  })

  test('holds while the holder is stopped (F-PAUSE), by any path to the directory', async () => {
    const directory = freshDirectory()
    const link = `${directory}-link`
    fs.symlinkSync(directory, link)
    const holder = run(HOLD(directory))
    expect(await firstLine(holder)).toBe('locked')
    holder.kill('SIGSTOP')
    await expect(new NodeFileSystem().lock(link)).rejects.toMatchObject({ code: 'FILE_LOCKED' })
    holder.kill('SIGKILL')
  })

  test('of many starters at once one gets it, also over a stale lock', async () => {
    const directory = freshDirectory()
    const killed = run(HOLD(directory))
    expect(await firstLine(killed)).toBe('locked')
    killed.kill('SIGKILL')
    await once(killed, 'close')

    const starters = Array.from({ length: 4 }, () => run(HOLD(directory)))
    const lines = await Promise.all(starters.map(firstLine))
    expect(lines.filter((line) => line === 'locked')).toHaveLength(1)
    expect(lines.filter((line) => line.startsWith('FILE_LOCKED'))).toHaveLength(3)
  })

  test('does not keep the process alive', async () => {
    const directory = freshDirectory()
    const child = run(`await files.lock(${JSON.stringify(directory)}); console.log('done')`)
    expect((await output(child)).trim()).toBe('done')
  })

  test('works in a directory whose path is longer than a socket address', async () => {
    const directory = join(freshDirectory(), 'x'.repeat(100))
    fs.mkdirSync(directory)
    const lock = await new NodeFileSystem().lock(directory)
    await expect(new NodeFileSystem().lock(directory)).rejects.toMatchObject({ code: 'FILE_LOCKED' })
    await lock.release()
  })

  test('the socket file alone keeps a process of another network namespace out', async () => {
    const directory = freshDirectory()
    const holder = run(HOLD(directory), 'exec unshare --user --net --map-root-user "$@"')
    const line = await firstLine(holder).catch(() => '')
    if (line !== 'locked') return // No right to make namespaces here; the claim is checked where there is.
    await expect(new NodeFileSystem().lock(directory)).rejects.toMatchObject({ code: 'FILE_LOCKED' })
    holder.kill('SIGKILL')
  })
})
