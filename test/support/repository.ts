/** Where the repository is: these files run where they lie, and compiled, from a directory of their own. */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** The next directory upwards with a package.json. */
export const REPOSITORY = (() => {
  let directory = import.meta.dirname
  while (!existsSync(join(directory, 'package.json'))) {
    const parent = dirname(directory)
    if (parent === directory)
      throw new Error(`Looking for package.json from ${import.meta.dirname} upwards: there is none`)
    directory = parent
  }
  return directory
})()
