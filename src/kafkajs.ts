/**
 * For programs that use kafkajs: the same program over the brokers' WebSocket listeners.
 */
export { webSocketSocketFactory } from './node/kafkajs.ts'
export type { KafkajsSocketRequest, WebSocketSocketFactoryOptions } from './node/kafkajs.ts'
