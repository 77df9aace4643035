/**
 * Hands what this machine has in native code to the folders that have it in JavaScript: CRC-32C, gzip, zstd. Loading
 * this module does it, once for the process; results are the same with and without, only the speed differs.
 */
import { setNativeCrc32c } from '../bytes/crc32c.ts'
import { loadNativeCrc32c, loadNativeZstd, nativeGzip } from '../env/node/index.ts'
import { setNativeCodec } from '../records/compression/native-codecs.ts'

setNativeCrc32c(loadNativeCrc32c())
setNativeCodec('gzip', nativeGzip)
setNativeCodec('zstd', loadNativeZstd())
