/**
 * CreateTopics (API key 19). The answer comes when the topics are committed and served here: who asks for them next
 * finds them.
 */
import type { RequestOf, ResponseOf } from '../../protocol/apis.ts'
import type { BrokerServices } from '../services.ts'

export async function handleCreateTopics(
  services: BrokerServices,
  request: RequestOf<'CreateTopics'>,
): Promise<ResponseOf<'CreateTopics'>> {
  const response = await services.controller.createTopics(request)
  await services.metadataInEffect()
  return response
}
