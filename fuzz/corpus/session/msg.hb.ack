agent
{"v":1,"t":"hb.ack","to":"a:0G3T7QX2M9KDWZ5R8Y1V4BNCHE","from":"relay","body":{"n":12,"relay_time_ms":1760000720412}}