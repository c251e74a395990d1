/* What happens around fork: locks are held across it, so that the child finds what they protect complete. */
#ifndef HAK_HEAP_FORK_H
#define HAK_HEAP_FORK_H

#include "base/attr.h"

/* Installs the hooks. Called once a process, when allocation works. */
HAK_HIDDEN void hak_fork_hook(void);

#endif
