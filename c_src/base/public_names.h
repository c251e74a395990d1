/* From here on the names of base/plain_names.h are the public functions again: for the wrapper that has them. */
#undef HAK_LAYER
#define HAK_LAYER(name) hak_##name /* of which the preprocessor expands none a second time */
