"""What a checker has to refuse; each line says with which code."""
import kevent

kevent.kevent_open("0")                                     # arg-type
kevent.kevent_ctl(3, kevent.KEVENT_CTL_ADD, "events")       # call-overload
kevent.Queue(ring_size="8")                                 # arg-type
kevent.ukevent(1)                                           # call-arg
kevent.KEVENT_NO_SUCH_NAME                                  # attr-defined
kevent.Ring(8).kidx = 1                                     # misc
kevent.KeventSelector().register(0, "read")                 # arg-type
kevent.run(7)                                               # arg-type
