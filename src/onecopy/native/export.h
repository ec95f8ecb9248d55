/* What others may call: the library is compiled with everything else hidden. */
#ifndef ONECOPY_EXPORT_H
#define ONECOPY_EXPORT_H

#define EXPORT __attribute__((visibility("default")))

#endif
