/* What the adaptive cache engine decided, for the statistics. */
#ifndef HAK_API_ACE_H
#define HAK_API_ACE_H

#include "base/attr.h"

/* Writes it to a file descriptor, a line each class that was used. */
HAK_HIDDEN void hak_ace_print(int fd);

#endif
