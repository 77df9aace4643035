/**
 * The answer to "what may I do with this?" (KIP-430) of a broker that asks nobody who they are: "not reported".
 */
export const NOT_REPORTED = -2_147_483_648
