/** The tasks that a benchmark may run in a process of their own, by name. */
import { wirePeer } from './limits/wire-peer.ts'

export const tasks = { 'wire-peer': wirePeer } as const

export type TaskName = keyof typeof tasks
