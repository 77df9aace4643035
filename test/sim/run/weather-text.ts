/** A seed's weather in words, for whoever has to understand what a life was like. */
import { counted } from '../../../cli/human.ts'
import type { Weather } from '../life/weather.ts'
import { wrapText } from './wrap.ts'

export function describeWeather(weather: Weather): string {
  const { brokers, replicationFactor, minIsr, topics, partitions, producers, consumers, hasGroup } = weather
  const kinds = [...new Set(weather.acts.map(({ fault }) => fault))]
  const clients = [
    `producers that give up after ${producers.map(({ deliveryTimeoutMs }) => deliveryTimeoutMs / 1000).join(', ')} s`,
    counted(consumers.length, 'consumer'),
    ...(hasGroup ? ['a group'] : []),
  ]
  return [
    `cluster    ${brokers} brokers; ${counted(topics, 'topic')} of ${counted(partitions, 'partition')}, ${counted(replicationFactor, 'replica')}, min.insync.replicas ${minIsr}`,
    `clients    ${clients.join('; ')}`,
    `faults     ${counted(weather.acts.length, 'act')}, one every ${weather.everyMs.join(' to ')} ms: ${kinds.join(', ')}`,
    `settings   ${Object.entries(weather.settings)
      .map(([name, value]) => `${name}=${value}`)
      .join(' ')}`,
  ]
    .flatMap((line) => wrapText(line, 11))
    .join('\n')
}
