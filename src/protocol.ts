/** The public surface of `millrace/protocol`: messages, frames and errors of the Kafka protocol, for any host. */
export { DecodeError } from './bytes/decode-error.ts'
export { EncodeError } from './bytes/encode-error.ts'
export { ZERO_UUID } from './bytes/uuid.ts'
export { apiList, apis, findApi, isServed } from './protocol/apis.ts'
export type {
  Api,
  ApiKey,
  ApiName,
  RequestInputOf,
  RequestOf,
  ResponseInputOf,
  ResponseOf,
} from './protocol/apis.ts'
export { errorByCode, errorByName, errorCode, errors } from './protocol/errors.ts'
export type { ErrorName, ProtocolError } from './protocol/errors.ts'
export {
  decodeRequest,
  decodeRequestHeader,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  responseCorrelationId,
} from './protocol/frame.ts'
export type { RequestFrame, RequestHeader } from './protocol/frame.ts'
