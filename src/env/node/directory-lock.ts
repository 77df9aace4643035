/**
 * The exclusive right to a data directory, held by a socket that is bound for life.
 *
 * Node offers no `flock`, and a file with a process id in it goes stale: after kill -9 nobody can tell a dead
 * holder from a live one whose id was given out again. A listening socket is closed by the kernel however its
 * process dies, and binding is atomic. And it can be asked: whoever connects is told who the holder is.
 *
 * - Linux: first an abstract socket named after the directory's device and inode, so that every path to it gives
 *   the same name. It leaves nothing behind, and of two starters one binds. Abstract names belong to a network
 *   namespace, though, and two containers may share a volume. So second, a socket file `.lock` in the
 *   directory, which is seen across namespaces of one kernel. It does stay behind after a kill; the next starter
 *   connects, is refused, and replaces it.
 * - macOS and the BSDs: `open` with O_EXLOCK | O_NONBLOCK on `.lock`, which is `flock` in the same call.
 * - Windows: a named pipe, of which libuv only ever makes the first instance.
 *
 * Limits. Two machines that share a directory over a network file system are not kept apart; Millrace wants a local
 * disk. Two containers that both take over the same stale `.lock` within the same millisecond are kept apart by
 * moving it aside under a name of one's own and looking at what was moved; a third that comes into that very
 * moment could slip in. On a file system without sockets (some FUSE ones) only the abstract name protects. Any
 * local user can bind the abstract name first and so keep a broker from starting; that harms no data.
 */
import { createHash, randomUUID } from 'node:crypto'
import * as fs from 'node:fs/promises'
import { constants } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { Server } from 'node:net'
import { hostname } from 'node:os'
import { FileError } from '../files.ts'
import { errnoOf } from './file-errors.ts'

const LOCK_NAME = '.lock'
/** A holder answers from its event loop, which may be busy; the answer is for a message only. */
const HOLDER_ANSWER_MS = 500
const HOLDER_TEXT_MAX = 200
/** `sun_path` holds 108 bytes with its final zero. */
const SOCKET_PATH_BYTES_MAX = 107
/** From `<fcntl.h>` of macOS and the BSDs; Node does not name it. */
const O_EXLOCK = 0x20

export interface DirectoryLock {
  /** Gives the right back. Calling it twice is harmless. */
  release(): Promise<void>
}

/** @throws {FileError} `FILE_LOCKED` when another owner lives. @throws Other errors as the system gives them. */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  const stat = await fs.stat(directory, { bigint: true })
  if (!stat.isDirectory())
    throw new FileError('FILE_NOT_FOUND', `Locked ${directory}: not a directory`, directory)
  switch (process.platform) {
    case 'linux': {
      const name = `\0millrace-lock-${stat.dev}-${stat.ino}`
      const server = await listen(name, directory)
      try {
        const file = await takeSocketFile(directory)
        return once(async () => {
          await file.release()
          await closeServer(server)
        })
      } catch (error) {
        await closeServer(server)
        throw error
      }
    }
    case 'win32': {
      const real = (await fs.realpath(directory)).toLowerCase()
      const digest = createHash('sha256').update(real).digest('hex')
      const server = await listen(`\\\\.\\pipe\\millrace-lock-${digest}`, directory)
      return once(() => closeServer(server))
    }
    default:
      return lockByOpening(directory)
  }
}

async function lockByOpening(directory: string): Promise<DirectoryLock> {
  const path = `${directory}/${LOCK_NAME}`
  try {
    const handle = await fs.open(
      path,
      constants.O_RDWR | constants.O_CREAT | constants.O_NONBLOCK | O_EXLOCK,
      0o600,
    )
    await handle.truncate(0)
    await handle.write(describeSelf(), 0)
    return once(() => handle.close())
  } catch (error) {
    if (errnoOf(error) !== 'EAGAIN') throw error
    const holder = await fs.readFile(path, 'utf8').catch(() => '')
    throw locked(directory, holder)
  }
}

/** Takes `.lock` in the directory; from whoever died with it if need be. */
async function takeSocketFile(directory: string): Promise<DirectoryLock> {
  const path = `${directory}/${LOCK_NAME}`
  const ownPath = `${path}-${randomUUID()}`
  const holder = await openForSocket(directory)
  let server: Server | null = null
  try {
    const found = await inodeOf(path)
    if (found !== null) {
      const answer = await askHolder(`${holder.path}/${LOCK_NAME}`)
      if (answer !== null) throw locked(directory, answer)
      await moveAside(path, ownPath, found, directory)
    }
    try {
      server = await listen(`${holder.path}/${ownPath.slice(directory.length + 1)}`, directory)
    } catch (error) {
      if (hasNoSockets(error)) return { release: () => Promise.resolve() }
      throw error
    }
    const ownInode = await inodeOf(ownPath)
    // `link` fails when the name exists, so of two that found nothing one gets it.
    await fs.link(ownPath, path).catch((error: unknown) => {
      throw errnoOf(error) === 'EEXIST' ? locked(directory, '') : error
    })
    await fs.unlink(ownPath)
    const bound = server
    return once(async () => {
      if ((await inodeOf(path)) === ownInode) await fs.rm(path, { force: true })
      await closeServer(bound)
    })
  } catch (error) {
    if (server !== null) await closeServer(server)
    await fs.rm(ownPath, { force: true })
    throw error
  } finally {
    await holder.close()
  }
}

/** Removes a stale lock, provided that what is at `path` is still what was found dead. */
async function moveAside(path: string, ownPath: string, found: bigint, directory: string): Promise<void> {
  const asidePath = `${ownPath}-stale`
  try {
    await fs.rename(path, asidePath)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return
    throw error
  }
  if ((await inodeOf(asidePath)) === found) {
    await fs.unlink(asidePath)
    return
  }
  // Another starter was faster and this is its live socket: put it back.
  await fs.link(asidePath, path).catch(() => undefined)
  await fs.unlink(asidePath)
  throw locked(directory, '')
}

/** A short name for a directory, for socket paths: long ones do not fit, but Linux names open directories too. */
async function openForSocket(directory: string): Promise<{ readonly path: string; close(): Promise<void> }> {
  const longest = `${directory}/${LOCK_NAME}-00000000-0000-0000-0000-000000000000`
  if (Buffer.byteLength(longest) <= SOCKET_PATH_BYTES_MAX) {
    return { path: directory, close: () => Promise.resolve() }
  }
  const handle = await fs.open(directory, constants.O_RDONLY)
  return { path: `/proc/self/fd/${handle.fd}`, close: () => handle.close() }
}

function hasNoSockets(error: unknown): boolean {
  return ['EPERM', 'EOPNOTSUPP', 'ENOTSUP', 'ENOSYS', 'EINVAL'].includes(errnoOf(error))
}

async function inodeOf(path: string): Promise<bigint | null> {
  try {
    return (await fs.lstat(path, { bigint: true })).ino
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
}

/** Binds a socket that tells whoever connects who holds it, and that does not keep the process alive. */
async function listen(name: string, directory: string): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined) // The one who asked has gone; there is nothing to tell it.
    socket.end(describeSelf())
    socket.unref()
  })
  server.unref()
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ path: name, exclusive: true }, resolve)
    })
  } catch (error) {
    if (errnoOf(error) !== 'EADDRINUSE') throw error
    throw locked(directory, (await askHolder(name)) ?? '')
  }
  server.on('error', () => undefined) // An accept that failed costs an asker its answer, not the lock.
  return server
}

/** What the holder says of itself, or null when nobody listens. Silence of one that listens is an empty text. */
function askHolder(name: string): Promise<string | null> {
  return new Promise((resolve) => {
    let text = ''
    const socket = connect({ path: name })
    const finish = (answer: string | null) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(answer)
    }
    const timer = setTimeout(() => finish(text), HOLDER_ANSWER_MS)
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => {
      text = (text + chunk).slice(0, HOLDER_TEXT_MAX)
    })
    socket.on('end', () => finish(text))
    socket.on('error', (error) => {
      // Only these mean that nobody is there. Anything else (no right to connect, a full backlog) is a live holder.
      finish(['ECONNREFUSED', 'ENOENT', 'ENOTSOCK'].includes(errnoOf(error)) ? null : text)
    })
  })
}

function describeSelf(): string {
  return `process ${process.pid} on ${hostname()}`
}

function locked(directory: string, holder: string): FileError {
  // The text comes from a socket or file that others can write.
  const plain = holder.replace(/[^\x20-\x7e]/g, '?').slice(0, HOLDER_TEXT_MAX)
  const who = plain === '' ? 'another process holds it' : `${plain} holds it`
  return new FileError('FILE_LOCKED', `Locked ${directory}: ${who}`, directory)
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()))
}

function once(release: () => Promise<void>): DirectoryLock {
  let released: Promise<void> | null = null
  return {
    release: () => {
      released ??= release()
      return released
    },
  }
}
