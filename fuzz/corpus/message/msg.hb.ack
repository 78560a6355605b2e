hb.ack
{"n":12,"relay_time_ms":1760000720412}