/* kinstr.h: names parts of a kernel, so that `kinstr eval` tells how long each takes.
 *
 *   KINSTR_REGION("exponentials") { ... }             a block, left in any way but by `return` or `goto`
 *   KINSTR_BEGIN("sums"); ... KINSTR_END("sums");     the same in two parts
 *
 * Names are string literals; what has the same name in a function is one region. Regions may lie within each other and may
 * not cross. `break` and `continue` in a KINSTR_REGION leave the region, as they would a loop. Memory is not accessed across
 * a border, so that a marker inside a hot loop keeps it from being vectorised: put it around the loop.
 *
 * kinstr puts calls in their place in the build that is timed in parts. In the clean build, whose times count, and with any
 * other compiler they are nothing.
 */
#ifndef KINSTR_H
#define KINSTR_H

#ifdef KINSTR_MARKED
#define KINSTR_JOIN(a, b) a##b
#define KINSTR_CALL(id, border, name)                                                                                     \
  __extension__({                                                                                                         \
    void KINSTR_JOIN(kinstr_mark_, id)(void) __asm__("__kinstr_mark_" border "." name) __attribute__((nothrow, nomerge)); \
    KINSTR_JOIN(kinstr_mark_, id)();                                                                                      \
  })
/* One level more, so that the counter is a number when it is joined to a name. */
#define KINSTR_COUNTED(id, border, name) KINSTR_CALL(id, border, name)
#define KINSTR_MARK(border, name) KINSTR_COUNTED(__COUNTER__, border, name)
#else
#define KINSTR_MARK(border, name) ((void)sizeof("" name ""))
#endif

#define KINSTR_BEGIN(name) KINSTR_MARK("begin", name)
#define KINSTR_END(name) KINSTR_MARK("end", name)
#define KINSTR_REGION(name)                                                                                    \
  for (int kinstr_region = (KINSTR_BEGIN(name), 2); kinstr_region; kinstr_region = (KINSTR_END(name), 0)) \
    for (; kinstr_region == 2; kinstr_region = 1)

#endif
